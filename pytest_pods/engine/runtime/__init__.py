"""Running a container: its bundle, runc and conmon, control groups, logs."""
