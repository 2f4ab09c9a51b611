x = 4 # abc
x = 4 # abc
x = 4 # abc
x = 4 # abc
x = 4 # abc
x = 4 # abc
