// hostile.c with a disk on the PCI bus: for `kaval run --memory 64M --payload`.
#define OVER_PCI
#include "hostile.c"
