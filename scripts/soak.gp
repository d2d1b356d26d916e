# The plots of a soak (scripts/soak.sh): folder, backend, server (what the server's memory is, or nothing) and out are given.
set terminal svg size 760,760 dynamic font "sans-serif,12" background "white"
set output out
set datafile separator ","
data = folder . "/plot.csv"
set multiplot layout 3,1 title backend
set key outside top center horizontal noenhanced
set lmargin 10
set rmargin 8
set tics nomirror
unset mxtics
unset mytics
set xlabel ""
set format x "%g"
set yrange [0:]
set ylabel "MiB"
minutes(seconds) = seconds / 60.0
mib(kib) = kib / 1024.0
ms(us) = us > 0 ? us / 1000.0 : NaN
if (strlen(server) > 0) {
  set y2range [0:]
  set y2tics
  plot data every ::1 using (minutes($1)):(mib($2)) with lines title "own RSS", \
       data every ::1 using (minutes($1)):(mib($5)) axes x1y2 with lines title server . " (right)"
  unset y2tics
} else {
  plot data every ::1 using (minutes($1)):(mib($2)) with lines title "own RSS"
}
set ylabel "threads, descriptors, messages"
plot data every ::1 using (minutes($1)):3 with lines title "threads", \
     data every ::1 using (minutes($1)):4 with lines title "descriptors", \
     data every ::1 using (minutes($1)):6 with lines title "depth of all channels"
set xlabel "minutes"
set ylabel "publish to handler, ms"
set autoscale y
set logscale y
unset mytics
plot data every ::1 using (minutes($1)):(ms($7)) with lines title "p50", \
     data every ::1 using (minutes($1)):(ms($8)) with lines title "p99", \
     data every ::1 using (minutes($1)):(ms($9)) with lines title "max"
unset multiplot
