package plugins

import "github.com/sampan-project/sampan/pkg/scheduler/framework"

// proportional scales scores so that the highest becomes MaxScore.
func proportional(scores []int64) {
	most := highest(scores)
	for i := range scores {
		if most > 0 {
			scores[i] = scores[i] * framework.MaxScore / most
		}
	}
}

// reversed scales scores so that the highest becomes 0 and 0 becomes MaxScore.
func reversed(scores []int64) {
	proportional(scores)
	for i := range scores {
		scores[i] = framework.MaxScore - scores[i]
	}
}

func highest(scores []int64) (most int64) {
	for _, s := range scores {
		most = max(most, s)
	}
	return most
}
