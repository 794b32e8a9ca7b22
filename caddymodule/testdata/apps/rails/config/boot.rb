require "logger" # Active Support 6.1 takes it for loaded
