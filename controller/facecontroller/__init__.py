"""The controller: reads the queue's depth and keeps as many instances as there are requests, up to the maximum."""
