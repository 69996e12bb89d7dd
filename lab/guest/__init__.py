"""Machine to QEMU command, accelerator probe, initramfs, running and watching the guest."""
