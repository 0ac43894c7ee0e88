)BvariableJ¤õE:CÌ‚C‰â½BæGÏBhbACt(¼BÕ,Cg!ÛBS:ÀBÄ,C	`¸Béj5Cc(ÜB²!ÚB·©$Ct(¼Bð•ICt(¼B‹Ê	C÷PýBF\ÇBÕÿBÁ"ÛBîQFCÌ‚C§5C‚ªËB2ìÌB{˜¸BTÄECà4C\«<C¬ÔÇBD?
CËíC×8C?ìÊBÌØCùmÃB‚ªËB;ê:C