package storage

import (
	"context"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
)

// compactKey is where servers that share an etcd agree on whose turn it is to compact; the name is
// kube-apiserver's, so that it may be one of them.
const compactKey = "compact_rev_key"

// CompactEvery forgets, once in an interval, what was more than one interval ago. Of several servers on
// one etcd one does it each time. It returns when ctx ends.
func (e *Etcd) CompactEvery(ctx context.Context, interval time.Duration) {
	var version, revision int64
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		next, now, ours, err := e.claimCompaction(ctx, version, revision)
		if err != nil {
			e.log.Error(err, "Old revisions could not be compacted")
			continue
		}
		version = next
		if ours && revision > 0 {
			if err := e.Compact(ctx, revision); err != nil {
				e.log.Error(err, "Old revisions could not be compacted")
			}
		}
		revision = now
	}
}

// claimCompaction raises the shared counter if nobody else did since the last time.
func (e *Etcd) claimCompaction(ctx context.Context, version, revision int64) (next, now int64, ours bool, err error) {
	key := []byte(compactKey)
	r, err := e.calls.Txn(ctx, &etcdserverpb.TxnRequest{
		Compare: []*etcdserverpb.Compare{{
			Result: etcdserverpb.Compare_EQUAL, Target: etcdserverpb.Compare_VERSION, Key: key,
			TargetUnion: &etcdserverpb.Compare_Version{Version: version},
		}},
		Success: []*etcdserverpb.RequestOp{putOp(&etcdserverpb.PutRequest{Key: key, Value: strconv.AppendInt(nil, revision, 10)})},
		Failure: []*etcdserverpb.RequestOp{rangeOp(compactKey)},
	})
	if err != nil {
		return version, revision, false, classified(ctx, "claiming the compaction", err)
	}
	if r.Succeeded {
		return version + 1, r.Header.Revision, true, nil
	}
	if kvs := r.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
		version = kvs[0].Version
	}
	return version, r.Header.Revision, false, nil
}
