# The guest of `kaval demo`: flat 64-bit code, entered at its first byte (FlatPayload, LONG64).
# It greets, tells what processor and how much RAM it sees, counts, and powers its machine off.
#
# cli/src/main/resources/org/kaval/cli/demo.bin is what this assembles to:
#   as -o demo.o demo.S && ld -Ttext=0x100000 --oformat=binary -o demo.bin demo.o

        .intel_syntax noprefix
        .code64
        .global _start

        .set    COM1, 0x3f8
        .set    LSR, COM1 + 5
        .set    THRE, 1 << 5
        .set    PM1_CONTROL, 0x604
        .set    SLP_EN_S5, (1 << 13) | (5 << 10)
        .set    MIB_SHIFT, 20

_start:
        lea     rsi, [rip + greeting]
        call    print

        lea     rsi, [rip + vendor]
        call    print
        xor     eax, eax
        cpuid
        mov     [rip + buffer], ebx
        mov     [rip + buffer + 4], edx
        mov     [rip + buffer + 8], ecx
        mov     byte ptr [rip + buffer + 12], 0
        lea     rsi, [rip + buffer]
        call    print

        # the brand is in leaves 0x80000002 to 0x80000004, 16 bytes each
        lea     rsi, [rip + brand]
        call    print
        lea     rdi, [rip + buffer]
        mov     r8d, 0x80000002
1:      mov     eax, r8d
        cpuid
        mov     [rdi], eax
        mov     [rdi + 4], ebx
        mov     [rdi + 8], ecx
        mov     [rdi + 12], edx
        add     rdi, 16
        inc     r8d
        cmp     r8d, 0x80000005
        jne     1b
        mov     byte ptr [rdi], 0
        lea     rsi, [rip + buffer]
        call    print

        # RAM keeps what is written to it; we stop where it does not, or at 3 GiB
        lea     rsi, [rip + ram]
        call    print
        mov     ebx, 1
2:      mov     rdi, rbx
        shl     rdi, MIB_SHIFT
        mov     eax, 0x6b617661
        xor     eax, ebx
        mov     ecx, [rdi]
        mov     [rdi], eax
        mov     edx, [rdi]
        mov     [rdi], ecx
        cmp     edx, eax
        jne     3f
        inc     ebx
        cmp     ebx, 3 << 10
        jb      2b
3:      mov     eax, ebx
        call    print_number
        lea     rsi, [rip + mebibytes]
        call    print

        lea     rsi, [rip + counting]
        call    print
        mov     ebx, 1
4:      mov     al, ' '
        call    put
        mov     eax, ebx
        call    print_number
        inc     ebx
        cmp     ebx, 10
        jbe     4b

        lea     rsi, [rip + farewell]
        call    print
        mov     dx, PM1_CONTROL
        mov     ax, SLP_EN_S5
        out     dx, ax
5:      hlt
        jmp     5b

# Prints the string at RSI, which ends with 0.
print:
        lodsb
        test    al, al
        jz      6f
        call    put
        jmp     print
6:      ret

# Prints EAX in decimal.
print_number:
        lea     rdi, [rip + buffer + 16]
        mov     byte ptr [rdi], 0
        mov     ecx, 10
7:      xor     edx, edx
        div     ecx
        add     dl, '0'
        dec     rdi
        mov     [rdi], dl
        test    eax, eax
        jnz     7b
        mov     rsi, rdi
        jmp     print

# Sends AL as soon as the port takes it.
put:
        mov     ah, al
        mov     dx, LSR
8:      in      al, dx
        test    al, THRE
        jz      8b
        mov     al, ah
        mov     dx, COM1
        out     dx, al
        ret

greeting:       .asciz  "Hello from a guest in 64-bit mode.\r\n"
vendor:         .asciz  "  processor vendor  "
brand:          .asciz  "\r\n  processor brand   "
ram:            .asciz  "\r\n  RAM               "
mebibytes:      .asciz  " MiB\r\n"
counting:       .asciz  "  counting         "
farewell:       .asciz  "\r\nPowering off.\r\n"
                .balign 8
buffer:         .zero   64
