package watchcheck

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// TestKillsOfAServerWithItsOwnEtcdLoseNothing kills the server of a cluster of one machine, and the etcd in its process
// with it, under a load of writes.
func TestKillsOfAServerWithItsOwnEtcdLoseNothing(t *testing.T) {
	url := fmt.Sprintf("127.0.0.1:%d", port(t))
	f := startFleet(t, 1, "--data-dir="+t.TempDir(), "--etcd-listen="+url)
	etcd := dialEtcd(t, "http://"+url)
	h := Follow(t.Context(), etcd)
	f.furnish(t)
	l := f.startLoad(t, 40, 250)
	var away []time.Duration
	for range 3 {
		l.goOn(t, 100)
		away = append(away, f.restart(t, 0, syscall.SIGKILL))
	}
	readyInTime(t, away...)
	l.goOn(t, 100)
	l.end()
	judgeLedger(t, h, l.ledger, etcd)
}
