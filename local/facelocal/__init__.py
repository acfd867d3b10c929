"""What only a laptop needs: an emulated AWS, a hypervisor for its instances, and the stack of processes."""
