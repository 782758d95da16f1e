package main

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/runtime"
)

// dataset is what a rank knows of the ratings: the shape of all of them, and
// those of its own users.
type dataset struct {
	users, items int     // one more than the greatest numbers in the files
	train, test  int64   // ratings of all ranks
	mean         float64 // of all training ratings

	userCount, itemCount []int32 // training ratings of each, all ranks
	itemHeld             []int32 // held-out ratings of each item, all ranks
}

// readShare reads this rank's share of all files.
func readShare(job *apps.Job, format apps.RatingsFormat) (apps.Ratings, error) {
	var r apps.Ratings
	for _, path := range job.Data {
		part := apps.Part{Index: job.Comm.Rank(), Count: job.Comm.Size()}
		if err := apps.ReadRatings(path, part, format, &r); err != nil {
			return r, err
		}
	}
	return r, nil
}

// summarise counts over all ranks. It is collective.
func summarise(ctx context.Context, c *runtime.Comm, r apps.Ratings) (*dataset, error) {
	top := []int64{-1, -1}
	for i := range r.Row {
		top[0], top[1] = max(top[0], int64(r.Row[i])), max(top[1], int64(r.Col[i]))
	}
	if err := collectives.Allreduce(ctx, c, top, top, collectives.Max); err != nil {
		return nil, err
	}
	d := &dataset{users: int(top[0] + 1), items: int(top[1] + 1)}
	d.userCount, d.itemCount, d.itemHeld = make([]int32, d.users), make([]int32, d.items), make([]int32, d.items)
	sums := make([]float64, 3)
	for i, v := range r.Value {
		if apps.Held(r.Row[i], r.Col[i]) {
			sums[1]++
			d.itemHeld[r.Col[i]]++
			continue
		}
		sums[0]++
		sums[2] += float64(v)
		d.userCount[r.Row[i]]++
		d.itemCount[r.Col[i]]++
	}
	if err := collectives.Allreduce(ctx, c, sums, sums, collectives.Sum); err != nil {
		return nil, err
	}
	for _, count := range [][]int32{d.userCount, d.itemCount, d.itemHeld} {
		if err := collectives.Allreduce(ctx, c, count, count, collectives.Sum); err != nil {
			return nil, err
		}
	}
	d.train, d.test = int64(sums[0]), int64(sums[1])
	if d.train > 0 {
		d.mean = sums[2] / sums[0]
	}
	return d, nil
}

// check reports why there is nothing to train on.
func (d *dataset) check(job *apps.Job) error {
	if d.train > 0 {
		return nil
	}
	return &apps.InputError{File: job.Data[0], Err: errors.New(`expected ratings, "user item rating" a line, found none to train on`)}
}

// settle sends every rating to the rank of its user's worker and returns, for
// each worker of this rank, its training and test ratings, ordered by item and
// user whatever the number of ranks and files. It is collective.
func settle(ctx context.Context, c *runtime.Comm, p *plan, workers int, r apps.Ratings) ([]shard, error) {
	out := make([][]uint32, c.Size())
	for i, v := range r.Value {
		to := int(p.owner[r.Row[i]]) / workers
		out[to] = append(out[to], uint32(r.Row[i]), uint32(r.Col[i]), math.Float32bits(v))
	}
	in, err := apps.Exchange(ctx, c, out)
	if err != nil {
		return nil, err
	}
	entries := make([][2][]entry, workers)
	for _, words := range in {
		for ; len(words) > 0; words = words[3:] {
			e := entry{user: int32(words[0]), item: int32(words[1]), value: math.Float32frombits(words[2])}
			w, held := int(p.owner[e.user])%workers, 0
			if apps.Held(e.user, e.item) {
				held = 1
			}
			entries[w][held] = append(entries[w][held], e)
		}
	}
	shards := make([]shard, workers)
	for w := range shards {
		shards[w] = newShard(p, entries[w][0], entries[w][1])
	}
	return shards, nil
}

// entry is a rating.
type entry struct {
	user, item int32
	value      float32
	key        uint64 // what order goes by first
}

// order sorts by key, then by item, then by user in a random order that the
// numbers fix; equal pairs, which a file may hold, by value.
func order(x []entry) {
	slices.SortFunc(x, func(a, b entry) int {
		switch {
		case a.key != b.key:
			return cmp.Compare(a.key, b.key)
		case a.item != b.item:
			return cmp.Compare(a.item, b.item)
		case a.user != b.user:
			return cmp.Compare(apps.Mix(uint64(a.user)), apps.Mix(uint64(b.user)))
		}
		return cmp.Compare(a.value, b.value)
	})
}

// shard holds the ratings of a worker's users. Users are numbered anew, those
// with most ratings first, so that the rows that are needed most lie together.
type shard struct {
	users []int32 // the number in the file of each own user

	// Training ratings, block after block and in it item after item.
	user  []int32 // own number
	value []float32
	runs  []run
	first []int32 // the runs of block b are [first[b], first[b+1])

	test []entry // with own numbers of users
}

// run is the ratings [from, to) of one item.
type run struct {
	item     int32
	from, to int32
}

func newShard(p *plan, train, test []entry) shard {
	s := shard{}
	count := make([]int32, len(p.owner)) // ratings, one more than there are
	for _, e := range train {
		count[e.user] = max(count[e.user], 1) + 1
	}
	for _, e := range test {
		count[e.user] = max(count[e.user], 1)
	}
	for u, n := range count {
		if n > 0 {
			s.users = append(s.users, int32(u))
		}
	}
	slices.SortFunc(s.users, func(a, b int32) int { return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b)) })
	own := make([]int32, len(p.owner))
	for i, u := range s.users {
		own[u] = int32(i)
	}

	order(train)
	for i := 0; i < len(train); {
		n := i + 1
		for n < len(train) && train[n].item == train[i].item {
			n++
		}
		p.arrange(train[i:n])
		i = n
	}
	order(train)
	order(test)
	s.first = make([]int32, p.blocks+1)
	s.user, s.value = make([]int32, len(train)), make([]float32, len(train))
	block := int32(0)
	for i, e := range train {
		s.user[i], s.value[i] = own[e.user], e.value
		if n := len(s.runs); n == 0 || train[i-1].key != e.key || s.runs[n-1].item != e.item {
			for ; block < int32(e.key>>32); block++ {
				s.first[block+1] = int32(n)
			}
			s.runs = append(s.runs, run{item: e.item, from: int32(i)})
		}
		s.runs[len(s.runs)-1].to = int32(i + 1)
	}
	for ; int(block) < p.blocks; block++ {
		s.first[block+1] = int32(len(s.runs))
	}
	for i := range test {
		test[i].user = own[test[i].user]
	}
	s.test = test
	return s
}
