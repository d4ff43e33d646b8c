package resource

import "context"

type judgedKey struct{}

func withJudged(ctx context.Context, judged bool) context.Context {
	if !judged {
		return ctx
	}
	return context.WithValue(ctx, judgedKey{}, true)
}

// SpecIsJudged tells a Validate on update that the spec is that of the old object, and was found without fault when it
// was written: what concerns it alone need not be judged again. It says no where nobody knows.
func SpecIsJudged(ctx context.Context) bool { return ctx.Value(judgedKey{}) != nil }
