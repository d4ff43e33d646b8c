#include "textflag.h"

// System calls and signals of linux/arm64.
#define SYS_exit_group      94
#define SYS_rt_sigprocmask  135
#define SYS_rt_sigtimedwait 137
#define SYS_wait4           260
#define SIG_BLOCK           0
#define SIGINT              2
#define SIGTERM             15
#define WNOHANG             1

// SIGINT, SIGTERM and SIGCHLD (17) as a set: bit n-1 stands for signal n.
#define SIGNALS 0x14002
#define SETSIZE 8

// pause_amd64.s says why the signals are blocked and why children are reaped until none is left.
TEXT ·pause(SB), NOSPLIT|NOFRAME, $0
	MOVD	RSP, R19
	SUB	$16, R19
	MOVW	$(SIGNALS&0xffff), R1
	MOVW	$(SIGNALS&0xff0000), R2
	ORR	R2, R1
	MOVD	R1, (R19)

	MOVD	$SYS_rt_sigprocmask, R8
	MOVD	$SIG_BLOCK, R0
	MOVD	R19, R1
	MOVD	ZR, R2
	MOVD	$SETSIZE, R3
	SVC

reap:
	MOVD	$SYS_wait4, R8
	MOVD	$-1, R0
	MOVD	ZR, R1
	MOVD	$WNOHANG, R2
	MOVD	ZR, R3
	SVC
	CMPW	$0, R0
	BGT	reap

	MOVD	$SYS_rt_sigtimedwait, R8
	MOVD	R19, R0
	MOVD	ZR, R1
	MOVD	ZR, R2
	MOVD	$SETSIZE, R3
	SVC
	CMPW	$SIGTERM, R0
	BEQ	exit
	CMPW	$SIGINT, R0
	BNE	reap

exit:
	MOVD	$SYS_exit_group, R8
	MOVD	ZR, R0
	SVC
	UNDEF
