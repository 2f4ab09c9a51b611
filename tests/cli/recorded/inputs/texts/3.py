x = 3 # abc
x = 3 # abc
x = 3 # abc
x = 3 # abc
x = 3 # abc
