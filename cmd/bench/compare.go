package main

// maxRounds is how many times -rounds -check may take to be clear.
const maxRounds = 5

// compare measures all variants in rounds and prints the table.
func (b *bench) compare() error {
	all, err := b.variants()
	if err != nil {
		return err
	}
	for _, v := range all {
		if err := b.verify(v); err != nil {
			return err
		}
	}
	rounds, err := b.inRounds(all)
	if err != nil {
		return err
	}
	r := b.judged(all, rounds)
	for b.check && r.any(unclear) && len(rounds) < maxRounds*b.rounds {
		more, err := b.inRounds(all)
		if err != nil {
			return err
		}
		rounds = append(rounds, more...)
		r = b.judged(all, rounds)
	}
	if b.json {
		err = printJSON(b.out, r)
	} else {
		err = r.print(b.out)
	}
	if err == nil && b.check && r.any(broken) {
		return errBound
	}
	return err
}

func (b *bench) judged(all []*variant, rounds []map[string]sample) report {
	r := report{
		Stock: b.stockNote, Missing: b.missing, Uncounted: b.uncounted, Quick: b.quick,
		Rounds: len(rounds), Slice: b.duration.String(), Connections: b.connections, Sessions: b.sessions,
	}
	for _, v := range all {
		r.Rows = append(r.Rows, summarize(v.name, v.base, v.bound, rounds))
	}
	r.judge()
	return r
}
