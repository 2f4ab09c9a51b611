x = 6 # abc
x = 6 # abc
x = 6 # abc
x = 6 # abc
x = 6 # abc
x = 6 # abc
x = 6 # abc
x = 6 # abc
