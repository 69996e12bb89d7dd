"""The crash zoo of ``ci/zoo``: what its triggers are, how its kernels are built, how its guests are run."""
