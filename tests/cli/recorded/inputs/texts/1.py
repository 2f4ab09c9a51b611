x = 1 # abc
x = 1 # abc
x = 1 # abc
