"""What `sonyc_tasks.heareval` checks and records around unmodified heareval."""
