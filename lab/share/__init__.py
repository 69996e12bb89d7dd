"""The store's shared side: what one machine built, all have. A folder, one over SFTP, or an S3-compatible bucket."""
