package node

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

// report computes the status and writes it if it changed or was last written long ago.
func (m *Manager) report(ctx context.Context) error {
	old := m.Node()
	if m.config.Client != nil && old.UID == "" {
		// The informer has not told of the node yet.
		var err error
		if old, err = m.config.Client.CoreV1().Nodes().Get(ctx, m.config.Name, metav1.GetOptions{}); err != nil {
			return fmt.Errorf("getting the node %s: %w", m.config.Name, err)
		}
	}
	updated := old.DeepCopy()
	events := m.setStatus(updated)
	now := m.config.Clock.Now()
	m.mu.Lock()
	due := now.Sub(m.reported) >= m.config.ReportEvery
	m.mu.Unlock()
	if m.config.Client != nil && (due || changed(&old.Status, &updated.Status)) {
		var err error
		if updated, err = m.patch(ctx, old, updated); err != nil {
			m.forget()
			return err
		}
		m.mu.Lock()
		m.reported = now
		m.mu.Unlock()
	}
	for _, e := range events {
		m.event(e.eventType, e.reason, e.message)
	}
	m.mu.Lock()
	m.node = updated
	m.mu.Unlock()
	return nil
}

// forget drops the node that could not be written: it may have been deleted or made anew.
func (m *Manager) forget() {
	n := m.initial()
	m.setStatus(n)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.node = n
}

// changed ignores heartbeats: an idle node writes its status only now and then, and its lease meanwhile.
func changed(a, b *corev1.NodeStatus) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	for _, s := range []*corev1.NodeStatus{a, b} {
		for i := range s.Conditions {
			s.Conditions[i].LastHeartbeatTime = metav1.Time{}
		}
	}
	return !equality.Semantic.DeepEqual(a, b)
}

// patch writes the difference, so that what others put into the status stays.
func (m *Manager) patch(ctx context.Context, old, updated *corev1.Node) (*corev1.Node, error) {
	data, err := statusPatch(old, updated)
	if err != nil {
		return nil, err
	}
	node, err := m.config.Client.CoreV1().Nodes().Patch(ctx, old.Name, types.StrategicMergePatchType, data, metav1.PatchOptions{}, "status")
	if err != nil {
		return nil, fmt.Errorf("patching the status of node %s: %w", old.Name, err)
	}
	return node, nil
}

func statusPatch(old, updated *corev1.Node) ([]byte, error) {
	wrong := func(err error) ([]byte, error) {
		return nil, fmt.Errorf("computing the patch of the node's status: %w", err)
	}
	// Only the status may differ; the UID makes the patch fail on another node of the same name.
	only := func(n *corev1.Node) ([]byte, error) {
		return json.Marshal(corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name}, Status: n.Status})
	}
	before, err := only(old)
	if err != nil {
		return wrong(err)
	}
	after, err := only(updated)
	if err != nil {
		return wrong(err)
	}
	data, err := strategicpatch.CreateTwoWayMergePatch(before, after, corev1.Node{})
	if err != nil {
		return wrong(err)
	}
	fields := map[string]any{}
	if err := json.Unmarshal(data, &fields); err != nil {
		return wrong(err)
	}
	if status, ok := fields["status"].(map[string]any); ok && !equality.Semantic.DeepEqual(old.Status.Addresses, updated.Status.Addresses) {
		// Addresses are merged by type, and there can be two of a type: they are replaced as a whole.
		list := []any{map[string]any{"$patch": "replace"}}
		for _, a := range updated.Status.Addresses {
			list = append(list, a)
		}
		delete(status, "$setElementOrder/addresses")
		status["addresses"] = list
	}
	if old.UID != "" {
		fields["metadata"] = map[string]any{"uid": old.UID}
	}
	data, err = json.Marshal(fields)
	if err != nil {
		return wrong(err)
	}
	return data, nil
}
