package advertise

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

var identities = schema.GroupResource{Group: coordinationv1.GroupName, Resource: "leases"}

// How the leases of API servers' identities are marked, and how long they last: as kube-apiserver's.
const (
	identityLabel   = "apiserver.kubernetes.io/identity"
	identityValue   = "kube-apiserver"
	identitySeconds = int32(3600)
)

// stillFor is how long, by this server's clock, nobody may have renewed a lease that is taken away, whatever it says of its
// own time: one of the two clocks may be wrong.
const stillFor = 6 * every

// sighting is a state of another server's lease, and since when this one has seen it.
type sighting struct {
	version string
	since   time.Time
}

// identityOf is the name by which the server of a host is known, that of kube-apiserver there: a hash of the host's name and
// of what the server is.
func identityOf(host string) string {
	var b []byte
	for _, part := range []string{host, identityValue} {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(part))), part...)
	}
	sum := sha256.Sum256(b)
	return "apiserver-" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16]))
}

// Identify renews the lease of this server's identity, which tells others which servers there are, and takes away those
// that nobody has renewed in time.
func (a *Advertiser) Identify(ctx context.Context) error {
	id, now := identityOf(a.Host), metav1.NewMicroTime(a.Clock.Now())
	seconds := identitySeconds
	renew := func(o resource.Object) error {
		l := o.(*coordinationv1.Lease)
		metav1.SetMetaDataLabel(&l.ObjectMeta, identityLabel, identityValue)
		metav1.SetMetaDataLabel(&l.ObjectMeta, corev1.LabelHostname, a.Host)
		l.Spec.HolderIdentity, l.Spec.LeaseDurationSeconds, l.Spec.RenewTime = &a.holder, &seconds, &now
		return nil
	}
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: id}}
	if err := a.put(ctx, identities, l, renew); err != nil {
		return fmt.Errorf("renewing the lease of this server's identity: %w", err)
	}
	all, err := a.Access.List(ctx, identities, metav1.NamespaceSystem)
	if err != nil {
		return fmt.Errorf("listing the leases of API servers' identities: %w", err)
	}
	before := a.seen
	a.seen = map[string]sighting{}
	for _, o := range all {
		l := o.(*coordinationv1.Lease)
		if l.Labels[identityLabel] != identityValue || l.Name == id {
			continue
		}
		s := before[l.Name]
		if s.version != l.ResourceVersion {
			s = sighting{l.ResourceVersion, now.Time}
		}
		a.seen[l.Name] = s
		if now.Sub(s.since) < stillFor || !ended(l, now.Time) {
			continue
		}
		if err := a.Access.Delete(ctx, identities, l.Namespace, l.Name, metav1.NewPreconditionDeleteOptions(string(l.UID))); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return fmt.Errorf("taking away the lease of an API server that is gone: %w", err)
		}
	}
	return nil
}

// ended says whether a lease was not renewed in time, or says too little to tell.
func ended(l *coordinationv1.Lease, now time.Time) bool {
	if l.Spec.RenewTime == nil || l.Spec.LeaseDurationSeconds == nil {
		return true
	}
	return l.Spec.RenewTime.Add(time.Duration(*l.Spec.LeaseDurationSeconds) * time.Second).Before(now)
}
