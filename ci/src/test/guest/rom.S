# Firmware of 64 KiB for a VMM that takes no flat payload: copies what is at 0x1000 of the ROM to
# 0x100000 and enters it as FlatPayload does, with the same GDT and page tables.
        .code16
        .globl start
start:                                  # at 0xffff0000, code segment F000
        .org 0x100
real:   cli
        lgdtl   %cs:(pointer - start)
        mov     %cr0, %eax
        or      $1, %al
        mov     %eax, %cr0
        ljmpl   $0x08, $(protected - start + 0xffff0000)
        .code32
protected:
        mov     $0x18, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        cld
        mov     $0xffff0000 + 0x1000, %esi     # the payload
        mov     $0x100000, %edi
        mov     $0xe000 / 4, %ecx
        rep movsl
        mov     $0xffff0000 + (gdt - start), %esi
        mov     $0x500, %edi
        mov     $12, %ecx
        rep movsl
        # page tables at 0x9000: 4 GiB in pages of 2 MiB, for ring 3 too
        mov     $0x9000, %edi
        xor     %eax, %eax
        mov     $0x6000 / 4, %ecx
        rep stosl
        movl    $0xa007, 0x9000
        movl    $0xb007, 0xa000
        movl    $0xc007, 0xa008
        movl    $0xd007, 0xa010
        movl    $0xe007, 0xa018
        mov     $0xb000, %edi
        mov     $0x87, %eax
        mov     $2048, %ecx
1:      mov     %eax, (%edi)
        add     $8, %edi
        add     $0x200000, %eax
        loop    1b
        mov     $0x9000, %eax
        mov     %eax, %cr3
        mov     %cr4, %eax
        or      $0x20, %eax
        mov     %eax, %cr4
        mov     $0xc0000080, %ecx
        rdmsr
        or      $0x100, %eax
        wrmsr
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
        lgdtl   0xffff0000 + (pointer2 - start)
        ljmp    $0x10, $(0xffff0000 + (long - start))
        .code64
long:   mov     $0x18, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     $0x7c00, %esp
        mov     $0x100000, %eax
        jmp     *%rax
        .balign 8
gdt:    .quad 0
        .quad 0x00cf9b000000ffff        # 0x08: 32-bit code
        .quad 0x00af9b000000ffff        # 0x10: 64-bit code
        .quad 0x00cf93000000ffff        # 0x18: data
        .quad 0x00cff3000000ffff        # 0x20: user data
        .quad 0x00affb000000ffff        # 0x28: user code
pointer: .word 47
        .long 0xffff0000 + (gdt - start)
pointer2: .word 47
        .long 0x500
        .org 0xfff0
        .code16
        jmp     real
        .org 0x10000
