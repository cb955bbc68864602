//! The pause program: the first process of every pod. It holds the pod's namespaces, reaps what the containers
//! orphan when they share its pid namespace, and ends when it is told to. Static, without libc or allocator.
#![no_std]
#![no_main]

use core::arch::{asm, global_asm};

const RT_SIGPROCMASK: usize = 14;
const WAIT4: usize = 61;
const RT_SIGTIMEDWAIT: usize = 128;
const EXIT_GROUP: usize = 231;
const SIGINT: usize = 2;
const SIGTERM: usize = 15;
const SIGCHLD: usize = 17;
const WNOHANG: usize = 1;
const SIG_BLOCK: usize = 0;
const SIGSET_BYTES: usize = 8;

global_asm!(".globl _start", "_start:", "and rsp, -16", "call {main}", "ud2", main = sym main);

/// Four-argument Linux system call.
unsafe fn syscall(number: usize, a: usize, b: usize, c: usize, d: usize) -> isize {
    let result: isize;
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") a, in("rsi") b, in("rdx") c,
             in("r10") d, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

extern "C" fn main() -> ! {
    let set: u64 = 1 << (SIGINT - 1) | 1 << (SIGTERM - 1) | 1 << (SIGCHLD - 1);
    let set = &raw const set as usize;
    unsafe {
        syscall(RT_SIGPROCMASK, SIG_BLOCK, set, 0, SIGSET_BYTES);
        loop {
            let signal = syscall(RT_SIGTIMEDWAIT, set, 0, 0, SIGSET_BYTES);
            if signal == SIGCHLD as isize {
                while syscall(WAIT4, usize::MAX, 0, WNOHANG, 0) > 0 {}
            } else if signal > 0 {
                syscall(EXIT_GROUP, 0, 0, 0, 0);
            }
        }
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe { syscall(EXIT_GROUP, 1, 0, 0, 0) };
    loop {}
}
