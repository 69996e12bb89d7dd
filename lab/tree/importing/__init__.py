"""Series as people send them: mailboxes, folders, tarballs, git ranges, threads, read with bounds."""
