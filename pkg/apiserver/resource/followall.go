package resource

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// FollowAll follows several resources with one function. synced is closed after the first pass through the last of
// them. Where absent is true, those that are not served are passed over.
func FollowAll(ctx context.Context, reader Reader, list []schema.GroupResource, absent bool, f func(obj, gone Object)) (synced <-chan struct{}, err error) {
	var each []<-chan struct{}
	for _, r := range list {
		s, err := reader.Follow(ctx, r, f)
		if absent && errors.Is(err, ErrNotServed) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("following %s: %w", r, err)
		}
		each = append(each, s)
	}
	done := make(chan struct{})
	go func() {
		for _, s := range each {
			select {
			case <-s:
			case <-ctx.Done():
				return
			}
		}
		close(done)
	}()
	return done, nil
}
