package daemon

import (
	"runtime"
	"time"
)

// contentionRate is how much waiting one sample of the profile of blocks stands for. Kubernetes' daemons record each
// wait, however short: here that would cost more than much of the work does. Long waits are met all the same.
const contentionRate = time.Millisecond

// ProfileContention begins to fill the profile of blocks of the process.
func ProfileContention() { runtime.SetBlockProfileRate(int(contentionRate)) }
