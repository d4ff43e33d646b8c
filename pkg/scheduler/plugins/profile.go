package plugins

import (
	"fmt"

	schedulerconfig "k8s.io/kube-scheduler/config/v1"

	"github.com/sampan-project/sampan/pkg/scheduler/framework"
)

// Weighted is a plugin with the weight of its score.
type Weighted struct {
	framework.Plugin
	Weight int64
}

// Profile is the plugins that serve the pods of one schedulerName, in the order in which they run.
type Profile struct {
	SchedulerName string
	Plugins       []Weighted
}

// all lists every plugin with its default weight, in the order in which they run.
func all(bind Binder) []Weighted {
	return []Weighted{
		{schedulingGates(), 0},
		{nodeUnschedulable(), 0},
		{nodeName(), 0},
		{taintToleration(), 3},
		{nodeAffinity(), 2},
		{nodePorts(), 0},
		{nodeResourcesFit(), 1},
		{podTopologySpread(), 2},
		{balancedAllocation(), 1},
		{imageLocality(), 1},
		{defaultBinder(bind), 0},
	}
}

// Default is the profile that stands when no configuration names another.
func Default(bind Binder) Profile {
	return Profile{SchedulerName: "default-scheduler", Plugins: all(bind)}
}

// Configured applies a profile of KubeSchedulerConfiguration: what its multiPoint and score sets disable
// goes, what they enable comes or takes the weight given.
func Configured(c schedulerconfig.KubeSchedulerProfile, bind Binder) (Profile, error) {
	p := Default(bind)
	if c.SchedulerName != nil && *c.SchedulerName != "" {
		p.SchedulerName = *c.SchedulerName
	}
	if c.Plugins == nil {
		return p, nil
	}
	for _, set := range []struct {
		name  string
		set   schedulerconfig.PluginSet
		score bool
	}{{"multiPoint", c.Plugins.MultiPoint, false}, {"filter", c.Plugins.Filter, false}, {"score", c.Plugins.Score, true}} {
		if err := p.apply(set.name, set.set, set.score, bind); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (p *Profile) apply(point string, set schedulerconfig.PluginSet, scoreOnly bool, bind Binder) error {
	for _, d := range set.Disabled {
		kept := p.Plugins[:0:0]
		for _, w := range p.Plugins {
			if d.Name != "*" && d.Name != w.Name || w.Bind != nil {
				kept = append(kept, w)
				continue
			}
			if scoreOnly {
				w.Weight = 0
				kept = append(kept, w)
			}
		}
		p.Plugins = kept
	}
	for _, e := range set.Enabled {
		if !p.enable(e, bind) {
			return fmt.Errorf("profile %q, plugins.%s.enabled: there is no plugin %q", p.SchedulerName, point, e.Name)
		}
	}
	return nil
}

func (p *Profile) enable(e schedulerconfig.Plugin, bind Binder) bool {
	weight := func(w *Weighted) {
		if e.Weight != nil && *e.Weight > 0 {
			w.Weight = int64(*e.Weight)
		}
	}
	for i := range p.Plugins {
		if p.Plugins[i].Name == e.Name {
			weight(&p.Plugins[i])
			return true
		}
	}
	for _, w := range all(bind) {
		if w.Name == e.Name {
			weight(&w)
			p.Plugins = append(p.Plugins, w)
			return true
		}
	}
	return false
}
