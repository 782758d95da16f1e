package corpus

// stopWords are English words without a subject, and the ones that every comment on
// a program has.
const stopWords = `
a about above across after again against all almost already also although always am among an and another any anyone
anything are aren around as at back be became because become becomes been before being below between both but by came
can cannot come could couldn did didn do does doesn doing don done down due during each either else enough etc even ever
every everything few first for from further get gets getting give given gives go goes going got had hadn has hasn have
haven having he hence her here hers him his how however i if in indeed instead into is isn it its itself just keep kept
know known last later least less let like likely long made make makes many may maybe me might more most mostly much must
mustn my need needn needs neither never next no nobody non none nor not nothing now of off often on once one ones only
onto or other others otherwise our out over own per perhaps quite rather re really said same say says see seem seems
seen several shall she should shouldn since so some something sometimes somewhere still such take taken takes than that
the their them then there therefore these they thing things this those though through thus to together too toward
towards two under unless until up upon us use used uses using usual usually various very via want wants was wasn way we
well went were weren what whatever when whenever where whereas whether which while who whole whom whose why will with
within without won would wouldn yet you your
todo xxx bug fixme note
`
