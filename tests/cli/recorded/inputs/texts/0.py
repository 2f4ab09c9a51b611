x = 0 # abc
x = 0 # abc
