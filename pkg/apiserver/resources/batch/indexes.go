package batch

import (
	"fmt"
	"strconv"
	"strings"
)

// interval is a run of indexes, both ends included.
type interval struct{ first, last int }

// intervals are runs of indexes, as they are written: "0,3-5,7".
type intervals []interval

// parseIndexes reads a list that must grow and stay below the number of completions.
func parseIndexes(text string, completions int32) (intervals, error) {
	if text == "" {
		return nil, nil
	}
	var list intervals
	for part := range strings.SplitSeq(text, ",") {
		run, err := parseInterval(part, completions)
		if err != nil {
			return nil, err
		}
		if n := len(list); n > 0 && list[n-1].last >= run.first {
			return nil, fmt.Errorf("non-increasing order, previous: %d, current: %d", list[n-1].last, run.first)
		}
		list = append(list, run)
	}
	return list, nil
}

func parseInterval(text string, completions int32) (interval, error) {
	ends := strings.Split(text, "-")
	if len(ends) > 2 {
		return interval{}, fmt.Errorf("the fragment %q violates the requirement that an index interval can have at most two parts separated by '-'", text)
	}
	var numbers []int
	for _, end := range ends {
		n, err := strconv.Atoi(end)
		if err != nil {
			return interval{}, fmt.Errorf("cannot convert string to integer for index: %q", end)
		}
		if n >= int(completions) {
			return interval{}, fmt.Errorf("too large index: %q", end)
		}
		numbers = append(numbers, n)
	}
	run := interval{numbers[0], numbers[len(numbers)-1]}
	if len(numbers) == 2 && run.first >= run.last {
		return interval{}, fmt.Errorf("non-increasing order, previous: %d, current: %d", run.first, run.last)
	}
	return run, nil
}

func (l intervals) count() int32 {
	var n int
	for _, run := range l {
		n += run.last - run.first + 1
	}
	return int32(n)
}

// overlap finds the first index that stands in both lists. Parts that are no interval are passed over: they are
// refused elsewhere.
func overlap(one, two string, completions int32) (int, bool) {
	a, b := readable(one, completions), readable(two, completions)
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].first <= b[0].last && b[0].first <= a[0].last:
			return max(a[0].first, b[0].first), true
		case a[0].first <= b[0].first:
			a = a[1:]
		default:
			b = b[1:]
		}
	}
	return 0, false
}

func readable(text string, completions int32) (list intervals) {
	for part := range strings.SplitSeq(text, ",") {
		if run, err := parseInterval(part, completions); err == nil {
			list = append(list, run)
		}
	}
	return list
}
