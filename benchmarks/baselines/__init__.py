"""What RLA-WM is measured against, behind one interface (`interface.WorldModel`) and one command (`train`)."""
