"""What memories cost: formulas for memory and disk, and measuring on a real server to hold them against."""
