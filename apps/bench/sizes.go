package main

import (
	"strconv"
	"strings"

	"github.com/pkg/errors"
)

const maxSize = 1 << 30

// units of sizes, by what follows the digits; case does not matter.
var units = map[string]int{"": 1, "b": 1, "k": 1 << 10, "kib": 1 << 10, "m": 1 << 20, "mib": 1 << 20, "g": 1 << 30, "gib": 1 << 30}

// parseSize reads a number of bytes such as 8, 64KiB or 4m.
func parseSize(text string) (int, error) {
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	scale, known := units[strings.ToLower(text[len(digits):])]
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || !known || n > uint64(maxSize/scale) {
		return 0, errors.Errorf("%q: expected bytes, at most 1GiB, such as 8, 64KiB or 4MiB", text)
	}
	return int(n) * scale, nil
}

// parseSizes reads sizes and ranges of sizes between commas, in the order given.
func parseSizes(text string) ([]int, error) {
	var all []int
	for part := range strings.SplitSeq(text, ",") {
		low, rest, sweep := strings.Cut(part, "..")
		from, err := parseSize(low)
		if err != nil {
			return nil, err
		}
		if !sweep {
			all = append(all, from)
			continue
		}
		high, by, stepped := strings.Cut(rest, ":")
		to, err := parseSize(high)
		if err != nil {
			return nil, err
		}
		factor := 2
		if stepped {
			if factor, err = strconv.Atoi(by); err != nil || factor < 2 || factor > maxSize {
				return nil, errors.Errorf("%q: expected a factor of at least 2 behind the colon", part)
			}
		}
		if from < 1 || to < from {
			return nil, errors.Errorf("%q: expected LO..HI, from at least 1 byte up", part)
		}
		for ; from < to; from *= factor {
			all = append(all, from)
		}
		all = append(all, to)
	}
	return all, nil
}
