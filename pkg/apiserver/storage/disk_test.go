package storage

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
)

// takesAll is an etcd that takes every write.
type takesAll struct {
	etcdserverpb.KVServer
	etcdserverpb.LeaseServer
}

func (takesAll) Txn(context.Context, *etcdserverpb.TxnRequest) (*etcdserverpb.TxnResponse, error) {
	return &etcdserverpb.TxnResponse{Header: &etcdserverpb.ResponseHeader{}, Succeeded: true}, nil
}

func (takesAll) LeaseGrant(context.Context, *etcdserverpb.LeaseGrantRequest) (*etcdserverpb.LeaseGrantResponse, error) {
	return &etcdserverpb.LeaseGrantResponse{ID: 1}, nil
}

func TestAFullDiskTakesDeletionsLongest(t *testing.T) {
	for _, c := range []struct {
		free              uint64
		writes, deletions string // "": taken
	}{
		{spare, "", ""},
		{spare - 1, "of the 80 MiB that a write may need 79 are left", ""},
		{reserve, "of the 80 MiB that a write may need 16 are left", ""},
		{reserve - 1, "of the 80 MiB that a write may need 15 are left", "of the 16 MiB that a deletion may need 15 are left"},
	} {
		p := &inProcess{KVServer: takesAll{}, LeaseServer: takesAll{}, dir: "data", free: func() (uint64, error) { return c.free, nil }}
		e := newEtcd(p, logr.Discard())
		ctx := t.Context()
		for name, write := range map[string]struct {
			do   func() (int64, error)
			want string
		}{
			"create":              {func() (int64, error) { return e.Create(ctx, "/a", nil, 0) }, c.writes},
			"create with a lease": {func() (int64, error) { return e.Create(ctx, "/a", nil, time.Hour) }, c.writes},
			"update":              {func() (int64, error) { return e.Update(ctx, "/a", nil, 1, 0) }, c.writes},
			"mark as deleted":     {func() (int64, error) { return e.Update(ForDeletion(ctx), "/a", nil, 1, time.Hour) }, c.deletions},
			"delete":              {func() (int64, error) { return e.Delete(ctx, "/a", 1) }, c.deletions},
		} {
			_, err := write.do()
			if (err == nil) != (write.want == "") || err != nil && !strings.Contains(err.Error(), write.want) {
				t.Errorf("%d bytes free: %s: %v, want %q", c.free, name, err, write.want)
			}
		}
	}
	unknown := errors.New("unknown")
	p := &inProcess{KVServer: takesAll{}, free: func() (uint64, error) { return 0, unknown }}
	if _, err := newEtcd(p, logr.Discard()).Delete(t.Context(), "/a", 1); !errors.Is(err, unknown) {
		t.Errorf("without knowing what is free: %v", err)
	}
}
