package launcher

import (
	"fmt"
	"strings"
)

// ranges words ascending numbers: 0-3,8.
func ranges(numbers []int) string {
	var parts []string
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		if i == j {
			parts = append(parts, fmt.Sprint(numbers[i]))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", numbers[i], numbers[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, ",")
}

// boundText words which cores the ranks of a host are bound to, of those that
// were started.
func boundText(ranks []int, cores [][]int) string {
	var parts []string
	for i := range min(len(ranks), len(cores)) {
		word := "core"
		if len(cores[i]) > 1 {
			word = "cores"
		}
		parts = append(parts, fmt.Sprintf("rank %d on %s %s", ranks[i], word, ranges(cores[i])))
	}
	return strings.Join(parts, ", ")
}
