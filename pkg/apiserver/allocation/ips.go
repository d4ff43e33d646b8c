package allocation

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// addressesOf are the addresses that a service holds.
func addressesOf(s *corev1.Service) []string {
	if s.Spec.Type == corev1.ServiceTypeExternalName || s.Spec.ClusterIP == corev1.ClusterIPNone {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.Spec.ClusterIPs), func(ip string) bool { return ip == "" || ip == corev1.ClusterIPNone })
}

// allocateIPs takes an address of each family that the service has none of, and says which ones it no longer
// has.
func (a *Allocator) allocateIPs(ctx context.Context, s, old *corev1.Service, dryRun bool) (taken, freed []string, err error) {
	if old != nil && old.Spec.Type != corev1.ServiceTypeExternalName {
		had := addressesOf(old)
		if s.Spec.Type == corev1.ServiceTypeExternalName {
			return nil, had, nil
		}
		if old.Spec.ClusterIP == corev1.ClusterIPNone || s.Spec.ClusterIP == corev1.ClusterIPNone || keepsPreference(s, old) {
			return nil, nil, nil // validation refuses what may not change
		}
		switch was, now := len(old.Spec.IPFamilies), len(s.Spec.IPFamilies); {
		case was == 1 && now == 2:
			taken, err = a.takeIPs(ctx, s, 1, dryRun)
		case was == 2 && now == 1 && len(had) == 2:
			freed = had[1:]
		}
		return taken, freed, err
	}
	if s.Spec.Type == corev1.ServiceTypeExternalName || len(s.Spec.ClusterIPs) > 0 && s.Spec.ClusterIPs[0] == corev1.ClusterIPNone {
		return nil, nil, nil
	}
	taken, err = a.takeIPs(ctx, s, 0, dryRun)
	return taken, nil, err
}

// takeIPs takes an address for each of the service's families from the nth on.
func (a *Allocator) takeIPs(ctx context.Context, s *corev1.Service, from int, dryRun bool) (taken []string, err error) {
	list := slices.Clone(s.Spec.ClusterIPs)
	for i := from; i < len(s.Spec.IPFamilies); i++ {
		asked := ""
		if i < len(list) {
			asked = list[i]
		}
		var ip string
		if asked == "" {
			ip, err = a.takeAnyIP(ctx, s, s.Spec.IPFamilies[i], dryRun)
			if err != nil {
				return taken, apierrors.NewInternalError(fmt.Errorf("failed to allocate a serviceIP: %w", err))
			}
		} else if ip, err = a.takeIP(ctx, s, asked, dryRun); err != nil {
			return taken, refuseIP(s, asked, err)
		}
		if !dryRun {
			taken = append(taken, ip)
		}
		if i < len(list) {
			list[i] = ip
		} else {
			list = append(list, ip)
		}
	}
	s.Spec.ClusterIPs = list
	if len(list) > 0 {
		s.Spec.ClusterIP = list[0]
	}
	return taken, nil
}

func refuseIP(s *corev1.Service, ip string, err error) error {
	if !errors.Is(err, errIPTaken) && !errors.Is(err, errNetwork) {
		return apierrors.NewInternalError(fmt.Errorf("taking the address %s: %w", ip, err))
	}
	return refuse(s, field.ErrorList{field.Invalid(ipsPath, s.Spec.ClusterIPs, fmt.Sprintf("failed to allocate IP %v: %v", ip, err))})
}

// blocks are the networks that are ready to give addresses of a family.
func (a *Allocator) blocks(ctx context.Context, family corev1.IPFamily) ([]block, error) {
	all, err := a.Access.List(ctx, networkResource, "")
	if err != nil {
		return nil, err
	}
	var list []block
	for _, o := range all {
		c := o.(*networkingv1.ServiceCIDR)
		if c.DeletionTimestamp != nil || !ready(c) {
			continue
		}
		for _, text := range c.Spec.CIDRs {
			if p, err := netip.ParsePrefix(text); err == nil && familyOf(p.Addr()) == family {
				list = append(list, newBlock(p))
			}
		}
	}
	return list, nil
}

func ready(c *networkingv1.ServiceCIDR) bool {
	return slices.ContainsFunc(c.Status.Conditions, func(c metav1.Condition) bool {
		return c.Type == networkingv1.ServiceCIDRConditionReady && c.Status == metav1.ConditionTrue
	})
}

func (a *Allocator) takeAnyIP(ctx context.Context, s *corev1.Service, family corev1.IPFamily, dryRun bool) (string, error) {
	blocks, err := a.blocks(ctx, family)
	if err != nil {
		return "", err
	}
	if len(blocks) == 0 {
		return "", fmt.Errorf("there is no ServiceCIDR of family %s that is ready; see kubectl get servicecidrs", family)
	}
	for _, b := range blocks {
		for ip := range b.candidates(a.Random) {
			if _, err := a.Access.Get(ctx, addressResource, "", ip.String()); err == nil {
				continue
			}
			err := a.create(ctx, s, ip, dryRun)
			if err == nil {
				return ip.String(), nil
			}
			if !errors.Is(err, errIPTaken) {
				return "", err
			}
		}
	}
	return "", errFull
}

func (a *Allocator) takeIP(ctx context.Context, s *corev1.Service, asked string, dryRun bool) (string, error) {
	ip, err := netip.ParseAddr(asked)
	if err != nil {
		return "", errNetwork
	}
	blocks, err := a.blocks(ctx, familyOf(ip))
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(blocks, func(b block) bool { return b.contains(ip) }) {
		return "", errNetwork
	}
	return asked, a.create(ctx, s, ip, dryRun)
}

// create takes an address for a service.
func (a *Allocator) create(ctx context.Context, s *corev1.Service, ip netip.Addr, dryRun bool) error {
	if dryRun {
		_, err := a.Access.GetLive(ctx, addressResource, "", ip.String())
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err == nil {
			return errIPTaken
		}
		return err
	}
	_, err := a.Access.Create(ctx, addressResource, addressObject(s, ip))
	if apierrors.IsAlreadyExists(err) {
		return errIPTaken
	}
	return err
}

func addressObject(s *corev1.Service, ip netip.Addr) *networkingv1.IPAddress {
	return &networkingv1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{Name: ip.String(), Labels: map[string]string{
			networkingv1.LabelIPAddressFamily: string(familyOf(ip)),
			networkingv1.LabelManagedBy:       managedBy,
		}},
		Spec: networkingv1.IPAddressSpec{ParentRef: &networkingv1.ParentReference{
			Resource: serviceResource.Resource, Namespace: s.Namespace, Name: s.Name,
		}},
	}
}

// holds says whether an address belongs to a service.
func holds(s *corev1.Service, ip *networkingv1.IPAddress) bool {
	p := ip.Spec.ParentRef
	return p != nil && p.Group == "" && p.Resource == serviceResource.Resource && p.Namespace == s.Namespace && p.Name == s.Name
}

// giveBackIPs frees addresses that are the service's own.
func (a *Allocator) giveBackIPs(ctx context.Context, s *corev1.Service, list []string) {
	for _, text := range list {
		ip, err := netip.ParseAddr(text)
		if err != nil {
			continue
		}
		o, err := a.Access.GetLive(ctx, addressResource, "", ip.String())
		if err == nil && holds(s, o.(*networkingv1.IPAddress)) {
			uid := string(o.GetUID())
			err = a.Access.Delete(ctx, addressResource, "", ip.String(), metav1.NewPreconditionDeleteOptions(uid))
		}
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			a.Log.Error(err, "Giving back a service's address; it will be repaired later", "address", text, "namespace", s.Namespace, "name", s.Name)
		}
	}
}
