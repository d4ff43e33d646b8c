package ownership

import (
	"reflect"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// special fills the types that write their own JSON.
func special(t reflect.Type) (func(*generator, reflect.Value), bool) {
	f, ok := map[reflect.Type]func(*generator, reflect.Value){
		reflect.TypeFor[metav1.Time](): func(g *generator, v reflect.Value) {
			v.Set(reflect.ValueOf(metav1.Time{Time: time.Unix(int64(g.IntN(3))*1000, 0)}))
		},
		reflect.TypeFor[metav1.MicroTime](): func(g *generator, v reflect.Value) {
			v.Set(reflect.ValueOf(metav1.MicroTime{Time: time.Unix(int64(g.IntN(3))*1000, 5000)}))
		},
		reflect.TypeFor[metav1.Duration](): func(g *generator, v reflect.Value) {
			v.Set(reflect.ValueOf(metav1.Duration{Duration: time.Duration(g.IntN(3)) * time.Second}))
		},
		reflect.TypeFor[resource.Quantity](): func(g *generator, v reflect.Value) {
			v.Set(reflect.ValueOf(resource.MustParse([]string{"0", "1", "1500m", "1Gi", "1024Mi", "1000m"}[g.IntN(6)])))
		},
		reflect.TypeFor[intstr.IntOrString](): func(g *generator, v reflect.Value) {
			v.Set(reflect.ValueOf([]intstr.IntOrString{intstr.FromInt32(1), intstr.FromString("a"), intstr.FromInt32(0)}[g.IntN(3)]))
		},
	}[t]
	return f, ok
}
