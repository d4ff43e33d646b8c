#include "textflag.h"

// System calls and signals of linux/amd64.
#define SYS_rt_sigprocmask  14
#define SYS_wait4           61
#define SYS_rt_sigtimedwait 128
#define SYS_exit_group      231
#define SIG_BLOCK           0
#define SIGINT              2
#define SIGTERM             15
#define WNOHANG             1

// SIGINT, SIGTERM and SIGCHLD (17) as a set: bit n-1 stands for signal n.
#define SIGNALS 0x14002
#define SETSIZE 8

// The three signals are blocked first. The kernel throws away a signal that the first process of a PID
// namespace has no handler for, unless it is blocked: then it waits until it is fetched.
TEXT ·pause(SB), NOSPLIT|NOFRAME, $0
	MOVQ	SP, R12
	SUBQ	$16, R12 // the set lies below the stack, where no handler will write: there are none
	MOVQ	$SIGNALS, (R12)

	MOVL	$SYS_rt_sigprocmask, AX
	MOVL	$SIG_BLOCK, DI
	MOVQ	R12, SI
	XORL	DX, DX
	MOVL	$SETSIZE, R10
	SYSCALL

	// Reap all that have ended. Signals of one kind merge while they wait, so one may stand for many.
reap:
	MOVL	$SYS_wait4, AX
	MOVL	$-1, DI
	XORL	SI, SI
	MOVL	$WNOHANG, DX
	XORL	R10, R10
	SYSCALL
	TESTL	AX, AX
	JGT	reap

	MOVL	$SYS_rt_sigtimedwait, AX
	MOVQ	R12, DI
	XORL	SI, SI
	XORL	DX, DX
	MOVL	$SETSIZE, R10
	SYSCALL
	CMPL	AX, $SIGTERM
	JEQ	exit
	CMPL	AX, $SIGINT
	JNE	reap

exit:
	MOVL	$SYS_exit_group, AX
	XORL	DI, DI
	SYSCALL
	UNDEF
