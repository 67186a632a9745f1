"""What runs beside the work of a process, as long as the process lives."""
