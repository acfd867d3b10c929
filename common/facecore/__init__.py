"""What every tier shares: errors, messages, settings, AWS clients, queues, objects, logs and metrics."""
