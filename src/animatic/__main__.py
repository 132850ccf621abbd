"""`python -m animatic` is `animatic`."""

from animatic.cli import main

if __name__ == "__main__":
    main()
