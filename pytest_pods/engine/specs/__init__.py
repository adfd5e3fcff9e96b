"""What can be asked for: frozen values, checked once when they are built. Nothing here touches the machine."""
