"""What may be stored as it is: redaction, quarantine, junk. Pure, without any reading or writing."""
