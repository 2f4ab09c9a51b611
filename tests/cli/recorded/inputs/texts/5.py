x = 5 # abc
x = 5 # abc
x = 5 # abc
x = 5 # abc
x = 5 # abc
x = 5 # abc
x = 5 # abc
