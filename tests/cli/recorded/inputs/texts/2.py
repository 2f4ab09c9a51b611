x = 2 # abc
x = 2 # abc
x = 2 # abc
x = 2 # abc
