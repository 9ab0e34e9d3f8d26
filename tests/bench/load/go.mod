module strongroom.test/load

go 1.22
