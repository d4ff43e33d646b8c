# Lays what was measured (key, value) beside the reference (reference.tsv), and beside what the machine itself allows:
# keys that begin with "plain " were measured at a server that sends the same bytes from memory.
# Use: awk -f table.awk reference.tsv measured
BEGIN {
	FS = "\t"
	printf "%-60s %11s %9s %11s %9s %9s %9s\n", "", "Kubernetes", "at most", "here", "of K.", "of most", "of plain"
}
FNR == NR { if ($0 !~ /^#/) { keys[++n] = $1; what[$1] = $2; upstream[$1] = $3; most[$1] = $4 }; next }
{ got[$1] = $2 }
function ratio(a, b) { return b + 0 > 0 && a != "" ? sprintf("%.2f", a / b) : "" }
END {
	for (i = 1; i <= n; i++) {
		k = keys[i]
		if (!(k in got)) continue
		least = sub(/^>/, "", most[k])
		missed = least ? got[k] + 0 < most[k] + 0 : got[k] + 0 > most[k] + 0
		printf "%-60s %11s %9s %11s %9s %9s %9s%s\n", what[k], upstream[k], (least ? ">" : "") most[k], got[k],
			ratio(got[k], upstream[k]), ratio(got[k], most[k]), ratio(got[k], got["plain " k]), missed ? "  missed" : ""
	}
	print ""
	for (i = 1; i <= n; i++) {
		k = keys[i]
		if (!(("raw " k "/s") in got && (k "/s") in got)) continue
		printf "%s: %s a second; raw puts of as many bytes %s: %s (aim: at least 0.7); ", what[k], got[k "/s"], got["raw " k "/s"], ratio(got[k "/s"], got["raw " k "/s"])
		printf "a server that only puts %s, of raw puts %s, this of it %s\n", got["through " k "/s"], ratio(got["through " k "/s"], got["raw " k "/s"]), ratio(got[k "/s"], got["through " k "/s"])
	}
	print "of plain: a Go server that sends the same bytes from memory, uncompressed, to the same clients (aims: lists at most 1, watch fan-out at most 1.2)"
}
