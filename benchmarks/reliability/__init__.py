"""What happens to files when commands are killed, and when what they read is damaged."""
